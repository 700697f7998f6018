// SPDX-License-Identifier: Apache-2.0
// From a JSON list of Mermaid texts on standard input to what Mermaid reads in each: {nodes, edges} or {error}.
import fs from "node:fs";
import { JSDOM } from "jsdom";

const { window } = new JSDOM("<!doctype html><body></body>"); // it asks for a browser's document
globalThis.window = window;
globalThis.document = window.document;
const { default: mermaid } = await import("mermaid");

const read = async (text) => {
  try {
    await mermaid.parse(text); // finds the parser of its kind
    const { db } = await mermaid.mermaidAPI.getDiagramFromText(text);
    return { nodes: db.getVertices().size, edges: db.getEdges().length };
  } catch (error) {
    return { error: String(error) };
  }
};
const found = [];
for (const text of JSON.parse(fs.readFileSync(0, "utf8"))) found.push(await read(text));
console.log(JSON.stringify(found));
