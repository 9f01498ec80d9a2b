/** A text as a QR code. */
import { createMemo, type JSX } from "solid-js";
import { encode } from "uqr";

export function QrCode(props: { text: string; label: string }): JSX.Element {
  const code = createMemo(() => encode(props.text, { border: 2 }));
  const path = createMemo(() =>
    code()
      .data.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : "")))
      .join(""),
  );
  return (
    <svg class="qr" viewBox={`0 0 ${code().size} ${code().size}`} role="img" aria-label={props.label}>
      <rect width={code().size} height={code().size} fill="#fff" />
      <path d={path()} fill="#0b1116" shape-rendering="crispEdges" />
    </svg>
  );
}
