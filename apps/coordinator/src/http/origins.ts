// Which Host and Origin a request may carry. Same origin by default; a coordinator that listens on the loopback alone answers only to loopback names,
// so that a foreign page cannot reach it by pointing its own name here. Knows no routes.

export interface OriginPolicy {
  /** May a request with this Host header be answered? */
  readonly hostAllowed: (host: string | null) => boolean;
  /** May a page of this origin speak to the address it called? `origin` null: no browser. */
  readonly originAllowed: (origin: string | null, host: string | null) => boolean;
  /** May a volunteer's signed hello name this origin? */
  readonly originNamed: (origin: string) => boolean;
}

const LOOPBACK_NAMES = new Set(["localhost", "127.0.0.1", "[::1]"]);
export const isLoopbackHost = (host: string): boolean => host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);

const parse = (text: string): URL | null => {
  try {
    return new URL(text);
  } catch {
    return null;
  }
};

export function originPolicy(options: {
  readonly host: string;
  readonly secure: boolean;
  readonly origins: readonly string[];
}): OriginPolicy {
  const further = new Set(options.origins);
  const furtherHosts = new Set(options.origins.map((origin) => new URL(origin).host));
  const strict = isLoopbackHost(options.host);
  const scheme = options.secure ? "https:" : "http:";
  const hostAllowed = (host: string | null): boolean => {
    const url = host === null ? null : parse(`${scheme}//${host}`);
    if (url === null || url.pathname !== "/" || url.search !== "" || url.username !== "") return false;
    return !strict || LOOPBACK_NAMES.has(url.hostname) || furtherHosts.has(url.host);
  };
  return {
    hostAllowed,
    originAllowed(origin, host) {
      if (!hostAllowed(host)) return false;
      if (origin === null || further.has(origin)) return true;
      return host !== null && origin === parse(`${scheme}//${host}`)?.origin;
    },
    originNamed(origin) {
      if (further.has(origin)) return true;
      const url = parse(origin);
      return url !== null && url.origin === origin && url.protocol === scheme && (!strict || LOOPBACK_NAMES.has(url.hostname));
    },
  };
}
