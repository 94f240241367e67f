// In Node.
import { describeAll } from "../../test/all-suites.ts";

describeAll("WASM");
