// Namespaces /observer and /admin: pictures of the runs at most five times a second; the admin's also takes commands.
// A reader that cannot keep up is sent a whole picture once it can. Decides nothing about runs.
import { type CoordinatorApi, ObserverFeed } from "@weft/coordinator";
