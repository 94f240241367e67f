import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Generated, sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openDatabase } from "./accounts-database.ts";

interface Tables {
  person: { id: Generated<number>; name: string };
}
let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-accounts-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("the accounts database", () => {
  it("keeps rows over a restart, with foreign keys and write-ahead logging on", async () => {
    const file = join(folder, "a.sqlite");
    const first = await openDatabase<Tables>(file);
    await sql`create table person (id integer primary key, name text not null)`.execute(first);
    await first.transaction().execute((rows) => rows.insertInto("person").values({ name: "Zoë" }).execute());
    expect((await sql<{ journal_mode: string }>`pragma journal_mode`.execute(first)).rows[0]?.journal_mode).toBe("wal");
    expect((await sql<{ foreign_keys: number }>`pragma foreign_keys`.execute(first)).rows[0]?.foreign_keys).toBe(1);
    await first.destroy();
    const second = await openDatabase<Tables>(file);
    expect(await second.selectFrom("person").selectAll().execute()).toEqual([{ id: 1, name: "Zoë" }]);
    await second.destroy();
  });

  it("says in one sentence that a file is no database", async () => {
    const file = join(folder, "b.sqlite");
    await writeFile(file, "this is a letter, not a database".repeat(200));
    await expect(openDatabase(file)).rejects.toMatchObject({
      name: "StorageFault",
      code: "damaged",
      message: expect.stringContaining(file),
    });
  });

  it("notices overwritten pages", async () => {
    const file = join(folder, "c.sqlite");
    const database = await openDatabase<Tables>(file);
    await sql`create table person (id integer primary key, name text not null)`.execute(database);
    for (let index = 0; index < 400; index++)
      await database
        .insertInto("person")
        .values({ name: `name ${index}`.repeat(20) })
        .execute();
    await sql`pragma wal_checkpoint(truncate)`.execute(database);
    await database.destroy();
    const bytes = await readFile(file);
    bytes.fill(0xa5, 4096, 12_288);
    await writeFile(file, bytes);
    await expect(openDatabase(file)).rejects.toMatchObject({ name: "StorageFault", code: "damaged" });
  });

  it("says that a folder which is not there cannot be opened", async () => {
    await expect(openDatabase(join(folder, "none", "d.sqlite"))).rejects.toMatchObject({ name: "StorageFault", code: "unavailable" });
  });
});
