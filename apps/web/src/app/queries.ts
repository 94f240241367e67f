// The cache of what the desk fetches over HTTP. Live figures do not pass here; they come through the observer (live/).
import { QueryClient } from "@tanstack/react-query";

export const queries = new QueryClient({ defaultOptions: { queries: { retry: 1, staleTime: 10_000 } } });
