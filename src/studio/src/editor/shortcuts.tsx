import { Dialog, DialogActions } from "../ui/dialog";

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
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <table><tbody>{KEYS.map(([keys, what]) => <tr key={keys}><th scope="row"><kbd>{keys}</kbd></th><td>{what}</td></tr>)}</tbody></table>
      <DialogActions><button type="button" className="primary" onClick={onClose}>Close</button></DialogActions>
    </Dialog>
  );
}
