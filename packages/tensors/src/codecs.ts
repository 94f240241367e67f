// The codecs by name. A codec joins by one line here and its own file under codecs/.
import type { Codec } from "./codec.ts";
import { f16 } from "./codecs/f16.ts";
import { f32 } from "./codecs/f32.ts";
import { int4 } from "./codecs/int4.ts";
import { int8 } from "./codecs/int8.ts";
import { sign } from "./codecs/sign.ts";
import { ternary } from "./codecs/ternary.ts";
import { topk } from "./codecs/topk.ts";

export const codecs: ReadonlyMap<string, Codec> = new Map([f32, f16, int8, int4, ternary, sign, topk].map((codec) => [codec.name, codec]));

/** Undefined for a name that no codec has. */
export const codecNamed = (name: string): Codec | undefined => codecs.get(name);
