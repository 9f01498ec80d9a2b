//! One connection carries one request after the other, whatever the first was answered.

use super::world::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Reads until what came ends an answer with a JSON body.
async fn answer(stream: &mut TcpStream) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4_096]);
    while !text.ends_with('}') {
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the server closed the connection after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

#[tokio::test]
async fn a_body_that_comes_late_and_is_not_needed_does_not_cost_the_connection() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, world.app.clone()).into_future());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let open = "POST /v1/missions/msn_01a21c748f5276a8bc2dc7e52d791ec6/open HTTP/1.1\r\nHost: fleet\r\n\
                Content-Type: application/json\r\nContent-Length: 4\r\n\r\n";
    for _ in 0..3 {
        stream.write_all(open.as_bytes()).await.unwrap();
        // Another request comes and goes in the meantime: the first one's head has been read.
        let mut other = TcpStream::connect(address).await.unwrap();
        other.write_all(b"GET /nothing HTTP/1.1\r\nHost: fleet\r\n\r\n").await.unwrap();
        assert!(answer(&mut other).await.starts_with("HTTP/1.1 404"));
        stream.write_all(b"null").await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 401"));
    }
}
