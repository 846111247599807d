/** A small workflow that works as it is: it runs without input, and either way out does something that can be seen. */
export const EXAMPLE = {
  name: "Example: large orders",
  description: "Adds up an order, and says whether it is a large one. Publish it, run it, and change it as you like.",
  input_schema: {
    type: "object",
    properties: {
      price: { type: "number", title: "Price of one", default: 19.5 },
      quantity: { type: "integer", title: "How many", default: 10, minimum: 1 },
    },
  },
  definition: {
    nodes: [
      { id: "start", type: "trigger.manual", position: { x: 0, y: 80 }, data: { label: "Order received" } },
      {
        id: "total", type: "core.transform", position: { x: 260, y: 80 },
        data: {
          label: "Add it up",
          config: { values: { total: "{{ (has(input.price) ? input.price : 19.5) * (has(input.quantity) ? input.quantity : 10) }}" } },
        },
      },
      {
        id: "is-large", type: "core.condition", position: { x: 520, y: 80 },
        data: { label: "More than 100?", config: { expression: "{{ steps.total.output.total > 100 }}" } },
      },
      {
        id: "large", type: "core.log", position: { x: 800, y: 0 },
        data: { label: "Say that it is large", config: { message: "A large order: {{ steps.total.output.total }}" } },
      },
      {
        id: "small", type: "core.log", position: { x: 800, y: 180 },
        data: { label: "Say that it is small", config: { message: "A small order: {{ steps.total.output.total }}" } },
      },
    ],
    edges: [
      { id: "start-total", source: "start", target: "total" },
      { id: "total-is-large", source: "total", target: "is-large" },
      { id: "is-large-large", source: "is-large", sourceHandle: "true", target: "large" },
      { id: "is-large-small", source: "is-large", sourceHandle: "false", target: "small" },
    ],
  },
};
