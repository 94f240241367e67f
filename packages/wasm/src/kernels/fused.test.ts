// In Node.
import "../../test/all-suites.ts";
