// In a browser, whose compiler of WebAssembly may be another.
import "../../test/all-suites.ts";
