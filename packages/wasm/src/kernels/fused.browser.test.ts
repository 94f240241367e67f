// In a browser, whose compiler of WebAssembly may be another.
import { describeAll } from "../../test/all-suites.ts";

describeAll("WASM");
