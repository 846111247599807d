const KEY = "stepwire.single-keys";

/** Whether keys without Ctrl do something on the canvas. Speech input and unsteady hands press them by accident: WCAG 2.1.4. */
export function areOn(): boolean {
  return localStorage.getItem(KEY) !== "off";
}

export function turn(isOn: boolean): void {
  if (isOn) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, "off");
}
