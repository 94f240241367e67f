// The headers that every answer carries: what a page may load and speak to, and that nobody may frame it. Knows no routes.
import type { Context } from "hono";

const policyFor = (socketOrigin: string): string =>
  [
    "default-src 'self'",
    // TensorFlow.js compiles WebAssembly; no other evaluation of text as code.
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self' blob:",
    // Some browsers do not count a websocket to the same address as 'self'.
    `connect-src 'self'${socketOrigin}`,
    "img-src 'self' data: blob:",
    "style-src 'self' 'unsafe-inline'",
    "font-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join("; ");

const HOST = /^[A-Za-z0-9.-]+(?::\d{1,5})?$|^\[[0-9a-fA-F:]+\](?::\d{1,5})?$/;

export function setSecurityHeaders(context: Context, secure: boolean): void {
  const host = context.req.header("host") ?? "";
  const socketOrigin = HOST.test(host) ? ` ${secure ? "wss" : "ws"}://${host}` : "";
  const set = (name: string, value: string): void => context.header(name, value);
  set("content-security-policy", policyFor(socketOrigin));
  set("cross-origin-opener-policy", "same-origin");
  set("cross-origin-embedder-policy", "require-corp");
  set("cross-origin-resource-policy", "same-origin");
  set("x-content-type-options", "nosniff");
  set("x-frame-options", "DENY");
  set("referrer-policy", "no-referrer");
  set("permissions-policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()");
  if (secure) set("strict-transport-security", "max-age=31536000");
}
