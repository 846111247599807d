import {
  Box, Braces, Clock, Globe, Hourglass, type LucideIcon, Merge, OctagonX, Play, Puzzle, Repeat, Reply, Route, ScrollText, Split, UserCheck,
  Webhook, Workflow,
} from "lucide-react";

const ICONS: Record<string, LucideIcon> = {
  box: Box, braces: Braces, clock: Clock, globe: Globe, hourglass: Hourglass, merge: Merge, "octagon-x": OctagonX, play: Play, puzzle: Puzzle,
  repeat: Repeat, reply: Reply, route: Route, "scroll-text": ScrollText, split: Split, "user-check": UserCheck, webhook: Webhook, workflow: Workflow,
};

/** The icon that the catalog names; those of plug-ins that the studio does not have are a piece of a puzzle. */
export function StepIcon({ name }: { name: string | undefined }) {
  const Icon = ICONS[name ?? "puzzle"] ?? Puzzle;
  return <Icon size={16} aria-hidden="true" />;
}
