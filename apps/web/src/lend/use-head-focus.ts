// Where the focus goes when the button that had it goes away with its panel: to the heading of what came instead. Knows no volunteer.
import { useEffect, useRef } from "react";

/** `panel` names what is shown; when it changes and the focus was lost by it, the element `head` gets it. */
export function useHeadFocus(panel: string, head = "head"): void {
  const last = useRef<Element | null>(null);
  useEffect(() => {
    const note = (event: FocusEvent) => {
      last.current = event.target instanceof Element ? event.target : null;
    };
    document.addEventListener("focusin", note);
    return () => document.removeEventListener("focusin", note);
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: looked at once for each panel
  useEffect(() => {
    const lost = last.current !== null && !last.current.isConnected && document.activeElement === document.body;
    const heading = document.getElementById(head);
    if (!lost || heading === null) return;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }, [panel]);
}
