import { useState } from "react";

import { Dialog, DialogActions } from "../ui/dialog";
import { areOn, turn } from "./single-keys";

const KEYS: [string, string][] = [
  ["/", "Search the steps; Enter adds the first one found, behind the selected step"],
  ["Tab, Shift+Tab", "From node to node, and to connections"],
  ["Enter or Space", "Select what has the focus"],
  ["Shift+click", "Select more; Shift+drag selects an area"],
  ["Arrow keys", "Move what is selected; with Shift, further"],
  ["C", "Connect the selected step to another one"],
  ["Delete", "Delete what is selected"],
  ["Ctrl+Z, Ctrl+Shift+Z", "Undo, redo"],
  ["Ctrl+C, Ctrl+X, Ctrl+V", "Copy, cut, paste: also from one workflow to another"],
  ["Ctrl+D", "Duplicate what is selected"],
  ["Ctrl+A", "Select everything"],
  ["Ctrl+S", "Save now"],
  ["Ctrl+Space", "In an expression: what can be named here"],
  ["Escape", "Select nothing"],
  ["?", "This list"],
];

export function Shortcuts({ onClose }: { onClose: () => void }) {
  const [isOn, setIsOn] = useState(areOn);
  const change = (wanted: boolean) => {
    turn(wanted);
    setIsOn(wanted);
  };
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <table><tbody>{KEYS.map(([keys, what]) => <tr key={keys}><th scope="row"><kbd>{keys}</kbd></th><td>{what}</td></tr>)}</tbody></table>
      <label className="row"><input type="checkbox" checked={isOn} onChange={({ currentTarget }) => change(currentTarget.checked)} /> / , C and ? work without Ctrl</label>
      <DialogActions><button type="button" className="primary" onClick={onClose}>Close</button></DialogActions>
    </Dialog>
  );
}
