/** A timer without drift: each tick is due a period after the one before was due. */
let due = 0;
let periodMs = 0;

function next(): void {
  postMessage(null);
  // After a pause of the machine, ticks are not made up for.
  due = Math.max(due + periodMs, performance.now());
  setTimeout(next, Math.max(0, due - performance.now()));
}

addEventListener("message", (event: MessageEvent<number>) => {
  periodMs = event.data;
  due = performance.now();
  next();
});

export {};
