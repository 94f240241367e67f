// Who is signed in, and how to become so. The token travels in the address' fragment, which no server ever sees, and leaves it at once.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { AdminCommand, AdminReply } from "@weft/protocol";
import { useEffect } from "react";
import { getJson, postJson } from "../app/api.ts";

export interface Session {
  readonly signedIn: boolean;
  readonly name: string | null;
  readonly role: string | null;
  readonly passwordSet: boolean;
}
const KEY = ["admin", "session"] as const;

/** The token of a fragment such as `#token=abc`; null where there is none. */
export const tokenOf = (hash: string): string | null => {
  const token = new URLSearchParams(hash.replace(/^#/, "")).get("token");
  return token === null || token === "" || token.length > 200 ? null : token;
};

/** Takes the token out of the address before anything else can read or remember it. */
function takeToken(): string | null {
  const token = tokenOf(location.hash);
  if (token !== null) history.replaceState(history.state, "", location.pathname + location.search);
  return token;
}

// One token, one exchange, however often React renders or remounts the page.
let exchanging: Promise<{ readonly failure: string | null }> | null = null;
function exchangeOnce(): Promise<{ readonly failure: string | null }> {
  exchanging ??= (async () => {
    const token = takeToken();
    if (token === null) return { failure: null };
    try {
      await postJson<null>("/api/admin/exchange", { token });
      return { failure: null };
    } catch (error) {
      return { failure: error instanceof Error ? error.message : "The sign-in link did not work." };
    }
  })();
  return exchanging;
}

/** A link pasted into a page that is open already changes the fragment only: its token is exchanged then. */
export function useLinkPastedLater(): void {
  const client = useQueryClient();
  useEffect(() => {
    const look = () => {
      if (tokenOf(location.hash) === null) return;
      exchanging = null;
      void client.invalidateQueries({ queryKey: KEY });
    };
    addEventListener("hashchange", look);
    return () => removeEventListener("hashchange", look);
  }, [client]);
}

export interface SessionState extends Session {
  /** Why the link in the address did not sign in; null where it did, or where there was none. */
  readonly linkFailure: string | null;
}

export const useSession = () =>
  useQuery({
    queryKey: KEY,
    queryFn: async (): Promise<SessionState> => {
      const { failure } = await exchangeOnce();
      return { ...(await getJson<Session>("/api/admin/session")), linkFailure: failure };
    },
    staleTime: 60_000,
  });

/** A call that changes who is signed in. */
export function useSessionCall<T>(path: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: T) => postJson<null>(path, body),
    onSuccess: () => client.invalidateQueries({ queryKey: KEY }),
  });
}

export const useCommand = () => useMutation({ mutationFn: (command: AdminCommand) => postJson<AdminReply>("/api/admin/command", command) });
