// A modal dialog: the browser's own, so that focus, Escape and the backdrop behave. Knows nothing of what it asks.
import { type ReactNode, useId, useLayoutEffect, useRef } from "react";

export function Dialog({
  title,
  wide = false,
  onClose,
  children,
}: {
  title: string;
  wide?: boolean;
  onClose: () => void;
  children: ReactNode;
}) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  // Closed while it still stands in the page: only so does the focus go back to whatever opened it.
  useLayoutEffect(() => {
    const dialog = element.current;
    if (dialog !== null && !dialog.open) dialog.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog ref={element} className={wide ? "wide-dialog" : ""} aria-labelledby={heading} onCancel={onClose}>
      <h2 id={heading}>{title}</h2>
      {children}
    </dialog>
  );
}

interface ConfirmProps {
  readonly title: string;
  /** What will happen, and what is kept. */
  readonly text: string;
  readonly keep: string;
  readonly act: string;
  readonly pending: boolean;
  readonly failure: string | null;
  readonly onKeep: () => void;
  readonly onAct: () => void;
}
export const Confirm = ({ title, text, keep, act, pending, failure, onKeep, onAct }: ConfirmProps) => (
  <Dialog title={title} onClose={onKeep}>
    <p className="small quiet">{text}</p>
    {failure !== null && (
      <p className="notice" role="alert">
        {failure}
      </p>
    )}
    <p className="acts">
      <button className="btn" type="button" onClick={onKeep}>
        {keep}
      </button>
      <button className="btn ink" type="button" disabled={pending} onClick={onAct}>
        {act}
      </button>
    </p>
  </Dialog>
);
