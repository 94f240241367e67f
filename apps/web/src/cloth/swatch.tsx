// A run's swatch: a larger one shows more of the cloth, never larger threads.
import { swatchPath, weaveOf } from "./weaves.ts";

export function Swatch({ run, sizePx, className = "swatch" }: { run: string; sizePx: number; className?: string }) {
  const crossings = Math.round(sizePx / (sizePx < 40 ? 2 : 4));
  return (
    <svg className={className} viewBox={`0 0 ${crossings} ${crossings}`} aria-hidden="true">
      <path shapeRendering="crispEdges" d={swatchPath(weaveOf(run), crossings)} />
    </svg>
  );
}
