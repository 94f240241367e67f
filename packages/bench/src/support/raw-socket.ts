// A Socket.IO client by hand, over a websocket over TCP, whose large messages can be made before they are sent: encoded and masked, so that
// sending them costs the system's copy and nothing else. Speaks what the benches need of RFC 6455, Engine.IO 4 and Socket.IO 5: one namespace,
// unfragmented frames, requests with an acknowledgement. Knows no messages.
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import type { Socket } from "node:net";

const [TEXT, BINARY, CLOSE] = [1, 2, 8] as const;
const OPENED = "0";
const PING = "2";
const PONG = "3";
/** Engine.IO's "message", then Socket.IO's packet: connected, event, acknowledgement, binary event. */
const [CONNECT, EVENT, ACK, BINARY_EVENT] = ["40", "42", "43", "451-"] as const;

/** Length of a payload, as a frame says it, behind the byte with the mark of the mask. */
function sizeField(sizeBytes: number): Buffer {
  if (sizeBytes < 126) return Buffer.of(0x80 | sizeBytes);
  const isLong = sizeBytes > 0xffff;
  const field = Buffer.alloc(isLong ? 9 : 3);
  field[0] = 0x80 | (isLong ? 127 : 126);
  if (isLong) field.writeUInt32BE(sizeBytes, 5);
  else field.writeUInt16BE(sizeBytes, 1);
  return field;
}

/** A frame as a client sends it: its head, and its payload masked with a fresh key, as a browser's is. `payload` is masked in place. */
function masked(opcode: number, payload: Uint8Array<ArrayBuffer>): readonly [Uint8Array, Uint8Array] {
  const key = randomBytes(4);
  const words = new Uint32Array(payload.buffer, 0, payload.length >> 2);
  const word = new Uint32Array(Uint8Array.from(key).buffer)[0] as number;
  for (let index = 0; index < words.length; index++) words[index] = (words[index] as number) ^ word;
  for (let index = 4 * words.length; index < payload.length; index++)
    payload[index] = (payload[index] as number) ^ (key[index & 3] as number);
  return [Buffer.concat([Buffer.of(0x80 | opcode), sizeField(payload.length), key]), payload];
}

const maskedText = (text: string): readonly Uint8Array[] => masked(TEXT, Uint8Array.from(Buffer.from(text)));

/** A message that is ready for the wire. */
export interface Prepared {
  readonly id: number;
  readonly pieces: readonly Uint8Array[];
}

export class RawSocket {
  readonly #socket: Socket;
  readonly #namespace: string;
  readonly #acks = new Map<number, { resolve(reply: unknown): void; reject(error: Error): void }>();
  readonly #events = new Map<string, (message: unknown) => void>();
  #lastId = 0;
  #arrived: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket, namespace: string) {
    this.#socket = socket;
    this.#namespace = namespace;
    socket.on("data", (bytes: Buffer) => this.#take(bytes));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the coordinator ended the connection")));
  }

  #fail(error: Error): void {
    for (const { reject } of this.#acks.values()) reject(error);
    this.#acks.clear();
  }

  /** To `namespace` ("/volunteer") of the server at `origin` (http). Gives the socket and the first message of event `first`. */
  static async connect<T>(origin: string, namespace: string, first: string): Promise<{ readonly socket: RawSocket; readonly message: T }> {
    const asking = request(`${origin}/socket.io/?EIO=4&transport=websocket`, {
      headers: {
        connection: "Upgrade",
        upgrade: "websocket",
        origin,
        "sec-websocket-version": "13",
        "sec-websocket-key": randomBytes(16).toString("base64"),
      },
    });
    asking.end();
    const [, stream, head] = (await once(asking, "upgrade")) as [unknown, Socket, Buffer];
    stream.setNoDelay(true);
    const socket = new RawSocket(stream, namespace);
    const message = new Promise<unknown>((resolve, reject) => {
      socket.#events.set(first, resolve);
      stream.once("close", () => reject(new Error("the coordinator ended the connection")));
    });
    socket.#take(head);
    return { socket, message: (await message) as T };
  }

  /** Sends a small message and gives what it is answered with. */
  request(event: string, message: unknown): Promise<unknown> {
    const id = this.#nextId();
    return this.send({ id, pieces: maskedText(`${EVENT}${this.#namespace},${id}${JSON.stringify([event, message])}`) });
  }

  /** The same message as `request` with `bytes`, which are masked in place and are of no more use to the caller. To be sent in the order of making. */
  prepare(event: string, bytes: Uint8Array<ArrayBuffer>): Prepared {
    const id = this.#nextId();
    const placed = JSON.stringify([event, { _placeholder: true, num: 0 }]);
    return { id, pieces: [...maskedText(`${BINARY_EVENT}${this.#namespace},${id}${placed}`), ...masked(BINARY, bytes)] };
  }

  send({ id, pieces }: Prepared): Promise<unknown> {
    const reply = new Promise<unknown>((resolve, reject) => this.#acks.set(id, { resolve, reject }));
    this.#socket.cork();
    for (const piece of pieces) this.#socket.write(piece);
    this.#socket.uncork();
    return reply;
  }

  close(): void {
    this.#socket.destroy();
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** What a server sends is not masked. */
  #take(bytes: Buffer): void {
    this.#arrived = this.#arrived.length === 0 ? bytes : Buffer.concat([this.#arrived, bytes]);
    for (;;) {
      const frame = this.#arrived;
      if (frame.length < 2) return;
      const short = (frame[1] as number) & 127;
      const head = short === 127 ? 10 : short === 126 ? 4 : 2;
      if (frame.length < head) return;
      const size = short === 127 ? Number(frame.readBigUInt64BE(2)) : short === 126 ? frame.readUInt16BE(2) : short;
      if (frame.length < head + size) return;
      this.#arrived = frame.subarray(head + size);
      const opcode = (frame[0] as number) & 15;
      if (opcode === TEXT) this.#hear(frame.toString("utf8", head, head + size));
      else if (opcode === CLOSE) this.#socket.end();
    }
  }

  #hear(packet: string): void {
    if (packet.startsWith(OPENED)) this.#answer(`${CONNECT}${this.#namespace},`);
    if (packet === PING) this.#answer(PONG);
    const at = packet.indexOf("[");
    const kind = packet.slice(0, 2);
    if (at < 0 || (kind !== EVENT && kind !== ACK)) return;
    const values = JSON.parse(packet.slice(at)) as unknown[];
    if (kind === EVENT) {
      this.#events.get(values[0] as string)?.(values[1]);
      this.#events.delete(values[0] as string);
      return;
    }
    const id = Number(packet.slice(packet.indexOf(",") + 1, at));
    this.#acks.get(id)?.resolve(values[0]);
    this.#acks.delete(id);
  }

  #answer(packet: string): void {
    for (const piece of maskedText(packet)) this.#socket.write(piece);
  }
}
