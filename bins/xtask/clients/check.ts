// Calls a running service with the generated TypeScript client: `check.js URL KEY DOCUMENT`.
//
// Fails with an assertion at the first answer that is not as described.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type ProcessRequest = components["schemas"]["ProcessRequest"];

const ACCEPTED = ["a", " a b ", "夕焼けの海", "🦊"];
const REFUSED = ["", "   ", "\u00a0", "\u3000"];

/** Returns every pattern of the document. */
function patterns(part: unknown): string[] {
  if (typeof part !== "object" || part === null) return [];
  const own = "pattern" in part && typeof part.pattern === "string" ? [part.pattern] : [];
  return own.concat(Object.values(part).flatMap(patterns));
}

function checkPatterns(document: any): void {
  const found = patterns(document);
  assert(found.length > 0, "the document has patterns");
  const fields = document.components.schemas.ProcessRequest.properties;
  for (const flags of ["", "u"]) {
    for (const pattern of found) new RegExp(pattern, flags);
    for (const { pattern } of [fields.prompt, fields.user_id]) {
      const expression = new RegExp(pattern, flags);
      for (const text of ACCEPTED) assert.match(text, expression);
      for (const text of REFUSED) assert.doesNotMatch(text, expression);
    }
  }
}

async function checkService(baseUrl: string, key: string): Promise<void> {
  const client = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${key}` } });
  const good = { prompt: "make the sky purple", active_image: true } as ProcessRequest;
  const bad = { prompt: "" } as ProcessRequest;

  const answer = await client.POST("/api/v2/process", { body: good });
  assert.equal(answer.data?.prompt_type, "EDIT_IMAGE");
  assert.deepEqual(answer.data.warnings, []);

  const classified = await client.POST("/api/v2/classify-only", { body: good });
  assert.equal(classified.data?.cache_hit, true);

  const refused = await client.POST("/api/v2/process", { body: bad });
  assert.equal(refused.response.status, 422);
  assert.equal(refused.error?.errors?.[0]?.pointer, "/prompt");

  for (const body of [[good, bad], { requests: [good, bad] }]) {
    const batch = await client.POST("/api/v2/batch", { body });
    assert.deepEqual([batch.data?.succeeded, batch.data?.failed], [1, 1]);
    const [first, second] = batch.data?.results ?? [];
    assert(first && "success" in first && first.prompt_type === "EDIT_IMAGE");
    assert(second && !("success" in second) && second.status === 422);
  }

  const stats = await client.GET("/api/v2/stats", { params: { query: { period: "1h" } } });
  assert(stats.data && stats.data.total_classifications >= 0);

  const health = await client.GET("/health");
  assert.equal(health.data?.status, "healthy");
}

const [url, key, document] = process.argv.slice(2);
assert(url && key && document, "check.js URL KEY DOCUMENT");
checkPatterns(JSON.parse(readFileSync(document, "utf8")));
await checkService(url, key);
