// Commands to a coordinator with the key it keeps in its data folder, as the command line sends them.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { AdminCommand, AdminReply, LedgerRecord, Result } from "@weft/protocol";
import type { CoordinatorProcess } from "./coordinator.ts";

export async function command(coordinator: CoordinatorProcess, message: AdminCommand): Promise<AdminReply> {
  const key = (await readFile(join(coordinator.data, "admin.key"), "utf8")).trim();
  const response = await fetch(`${coordinator.url}/api/admin/command`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}`, origin: coordinator.url },
    body: JSON.stringify(message),
  });
  const body = (await response.json()) as Result<AdminReply>;
  if (!body.ok) throw new Error(`${message.type}: ${body.message}`);
  return body.value;
}

export async function ledgerOf(coordinator: CoordinatorProcess, run: string): Promise<readonly LedgerRecord[]> {
  const records: LedgerRecord[] = [];
  for (;;) {
    const response = await fetch(`${coordinator.url}/api/runs/${run}/ledger?from=${records.length}&limit=1000`);
    const lines = (await response.text()).split("\n").filter((line) => line !== "");
    if (lines.length === 0) return records;
    records.push(...lines.map((line) => JSON.parse(line) as LedgerRecord));
  }
}
