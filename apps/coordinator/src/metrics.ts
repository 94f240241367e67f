// Figures for Prometheus: the process, the event loop, and the coordinator's own counters. Read at each scrape; nothing is counted twice.
import type { CoordinatorApi } from "@weft/coordinator";
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { LoopLag } from "./loop-lag.ts";

export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
  request(method: string, status: number): void;
  refused(code: string): void;
  error(kind: string): void;
}

export function makeMetrics(coordinator: () => CoordinatorApi | null, lag: LoopLag): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const requests = new Counter({ name: "weft_http_requests_total", help: "HTTP requests", labelNames: ["method", "status"], registers });
  const refusals = new Counter({
    name: "weft_http_refusals_total",
    help: "HTTP requests refused, by code",
    labelNames: ["code"],
    registers,
  });
  const errors = new Counter({ name: "weft_errors_total", help: "Unexpected errors, by place", labelNames: ["kind"], registers });
  new Gauge({
    name: "weft_event_loop_delay_seconds",
    help: "Event loop delay beyond the timer's resolution over the last one to two minutes",
    labelNames: ["stat"],
    registers,
    collect() {
      const { p99Ms, maxMs } = lag.now();
      this.set({ stat: "p99" }, p99Ms / 1000);
      this.set({ stat: "max" }, maxMs / 1000);
    },
  });
  new Gauge({
    name: "weft_volunteers",
    help: "Distinct volunteers connected",
    registers,
    collect() {
      this.set(coordinator()?.volunteersNow() ?? 0);
    },
  });
  new Gauge({
    name: "weft_run_version",
    help: "Version of each run",
    labelNames: ["run", "phase"],
    registers,
    collect() {
      this.reset();
      for (const { run, phase, version } of coordinator()?.runs() ?? []) this.set({ run, phase }, version);
    },
  });
  /** A counter whose totals the core keeps: all of its counters under `prefix`, the rest of the name as the label. */
  const mirrored = (name: string, help: string, prefix: string, label: string): void => {
    new Counter({
      name,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset();
        for (const [key, total] of Object.entries(coordinator()?.counters() ?? {}))
          if (key.startsWith(prefix)) this.inc({ [label]: key.slice(prefix.length) }, total);
      },
    });
  };
  mirrored("weft_refusals_total", "Messages and contributions refused, by code", "refused.", "code");
  mirrored("weft_messages_total", "Messages of volunteers, by event", "messages.", "event");
  mirrored("weft_contributions_total", "Contributions, by what became of them", "contributions.", "outcome");
  mirrored("weft_bytes_total", "Bytes of updates in, and of blobs out", "bytes.", "direction");
  mirrored("weft_sessions_total", "Sessions of volunteers", "sessions.", "change");
  mirrored("weft_versions_total", "Versions, by what became of them", "versions.", "outcome");
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    request: (method, status) => requests.inc({ method, status: String(status) }),
    refused: (code) => refusals.inc({ code }),
    error: (kind) => errors.inc({ kind }),
  };
}
