import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./app";
import { load } from "./auth/session";
import "./ui/theme.css";

const session = await load();
const place = document.getElementById("root");
if (place === null) throw new Error("The page has no root.");
createRoot(place).render(
  <StrictMode>
    <App session={session} />
  </StrictMode>,
);
