export function schedulesKey(workflowId: string) {
  return ["schedules", workflowId];
}
