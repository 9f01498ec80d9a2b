//! Clients over TCP: the path out of networks that let no UDP through.

use crate::client::{Client, INLET_LEN, PENDING_MAX, Way};
use crate::context::Context;
use crate::frame::{self, HEADER_LEN};
use bytes::Bytes;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Connections beyond those that have an allocation.
const SPARE_CONNECTIONS: usize = 128;
/// Connections from one address: a company's pilots may share one.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 32;
/// Messages that wait for a slow connection. More would only be older.
const OUTLET_LEN: usize = 64;
/// A connection without a word for so long is dead. Browsers refresh a permission every four minutes.
const SILENT_MAX: Duration = Duration::from_secs(600);

/// Serves clients over TCP, for ever.
pub(crate) async fn serve(context: Arc<Context>, listener: TcpListener) {
    let connections_max = context.options.limits.allocations_max + SPARE_CONNECTIONS;
    let mut connections: JoinSet<IpAddr> = JoinSet::new();
    let mut of_address: HashMap<tokio::task::Id, IpAddr> = HashMap::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    let same = of_address.values().filter(|ip| **ip == from.ip()).count();
                    if connections.len() >= connections_max || same >= CONNECTIONS_PER_ADDRESS_MAX {
                        // Closed by being dropped.
                        context.stats.dropped.add(1);
                        continue;
                    }
                    let context = Arc::clone(&context);
                    let task = connections.spawn(async move {
                        if let Err(error) = connection(context, stream, from).await {
                            tracing::debug!(client = %from, %error, "relay: a connection ended");
                        }
                        from.ip()
                    });
                    of_address.insert(task.id(), from.ip());
                }
                Err(error) => {
                    tracing::warn!(%error, "relay: a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(ended) = connections.join_next_with_id() => {
                let id = match ended {
                    Ok((id, _address)) => id,
                    Err(error) => {
                        tracing::error!("relay: a client's engine failed; only this client lost its path");
                        error.id()
                    }
                };
                of_address.remove(&id);
            }
        }
    }
}

/// One connection, until either end, or the client's allocation, is over.
async fn connection(context: Arc<Context>, stream: TcpStream, from: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reading, writing) = stream.into_split();
    let (inlet, to_client) = mpsc::channel(INLET_LEN);
    let (from_client, outlet) = mpsc::channel(OUTLET_LEN);
    let allocated = Arc::new(AtomicBool::new(false));
    let client = Client::new(context, from, Way::Tcp(from_client), Arc::clone(&allocated));
    tokio::select! {
        done = read(BufReader::new(reading), inlet, &allocated) => done,
        done = write(writing, outlet) => done,
        () = client.run(to_client) => Ok(()),
    }
}

async fn read(
    mut reading: BufReader<OwnedReadHalf>,
    inlet: mpsc::Sender<Bytes>,
    allocated: &AtomicBool,
) -> io::Result<()> {
    loop {
        let patience = if allocated.load(Ordering::Acquire) { SILENT_MAX } else { PENDING_MAX };
        let message = tokio::time::timeout(patience, message(&mut reading)).await;
        let message = message.map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))??;
        // Waits where the engine does not keep up: the stream's own way to slow a sender down.
        if inlet.send(message).await.is_err() {
            return Ok(());
        }
    }
}

async fn message(reading: &mut BufReader<OwnedReadHalf>) -> io::Result<Bytes> {
    let mut header = [0; HEADER_LEN];
    reading.read_exact(&mut header).await?;
    let length = frame::length(header).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "neither STUN nor a channel's data")
    })?;
    let mut message = header.to_vec();
    message.resize(length.message + length.padding, 0);
    reading.read_exact(message.get_mut(HEADER_LEN..).unwrap_or_default()).await?;
    message.truncate(length.message);
    Ok(message.into())
}

async fn write(mut writing: OwnedWriteHalf, mut outlet: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    while let Some(message) = outlet.recv().await {
        writing.write_all(&message).await?;
    }
    Ok(())
}
