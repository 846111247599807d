/**
 * Keeps the focus in the page. Where what had it goes away, it moves to the nearest thing around that can have it, or to what is marked
 * in there with `data-focus`; where that was only disabled for a while, it comes back.
 */
export function keepFocus(): () => void {
  let around: Element[] = []; // what has the focus, and what that is in, from the inside out
  let wasDisabled = false;

  const note = ({ target }: FocusEvent) => {
    wasDisabled = false;
    around = target instanceof Element ? outwards(target) : [];
  };
  const leave = ({ target }: PointerEvent) => {
    if (target instanceof Node && around[0]?.contains(target) !== true) around = []; // a click beside everything gives the focus up
  };
  const observer = new MutationObserver(() => {
    const [focused] = around;
    if (focused === undefined) return;
    const isDisabled = focused.matches(":disabled");
    const isBack = wasDisabled && !isDisabled;
    wasDisabled = isDisabled;
    if (document.activeElement !== document.body || (focused.isConnected && !isBack)) return;
    const places = around.flatMap((each) => (each.isConnected ? (each.matches(FOCUSABLE) ? each : each.querySelector("[data-focus]")) ?? [] : []));
    (places[0] as HTMLElement | SVGElement | undefined)?.focus({ preventScroll: true });
  });
  document.addEventListener("focusin", note);
  document.addEventListener("pointerdown", leave, true);
  observer.observe(document.body, { subtree: true, childList: true, attributeFilter: ["disabled"] });
  return () => {
    document.removeEventListener("focusin", note);
    document.removeEventListener("pointerdown", leave, true);
    observer.disconnect();
  };
}

const FOCUSABLE = "[tabindex], a[href], button, input, select, textarea, summary";

function outwards(inner: Element): Element[] {
  const found: Element[] = [];
  for (let at: Element | null = inner; at !== null; at = at.parentElement) found.push(at);
  return found;
}
