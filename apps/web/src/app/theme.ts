// Light or dark: what the reader chose, or else the system. Canvases ask here when to repaint; nothing else is kept.
const KEY = "weft-theme";
const systemDark = () => matchMedia("(prefers-color-scheme: dark)");

const isDark = (): boolean => {
  const chosen = document.documentElement.dataset.theme;
  return chosen === undefined ? systemDark().matches : chosen === "dark";
};

export function toggleTheme(): void {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
}

/** The value of a design token, for canvases, which cannot read custom properties. */
export const token = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Calls back whenever tokens may have changed; the returned function ends it. */
export function onThemeChange(listener: () => void): () => void {
  const system = systemDark();
  const observer = new MutationObserver(listener);
  observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  system.addEventListener("change", listener);
  return () => {
    observer.disconnect();
    system.removeEventListener("change", listener);
  };
}

export const prefersCalm = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;
