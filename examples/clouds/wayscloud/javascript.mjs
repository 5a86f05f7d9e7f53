// List WAYSCloud's buckets: node --env-file=.env javascript.mjs
const key = process.env.WAYSCLOUD_API_KEY ?? "";
const url = process.env.WAYSCLOUD_API_URL || "https://api.wayscloud.services";

async function buckets() {
  if (!/^[!-~]+$/.test(key)) throw new Error("WAYSCLOUD_API_KEY is not set, or is no key");
  if (!url.startsWith("https://")) throw new Error("WAYSCLOUD_API_URL is not https: the key goes over TLS only");
  const answer = await fetch(`${url}/v1/storage/`, {
    headers: { Authorization: `Bearer ${key}` },
    redirect: "error", // the key goes nowhere else
    signal: AbortSignal.timeout(30_000),
  });
  const body = await answer.text();
  if (answer.status !== 200) throw new Error(`WAYSCloud refused: ${answer.status} ${body}`);
  return body;
}

try {
  console.log(await buckets());
} catch (error) {
  console.error([error.message, error.cause?.message].filter(Boolean).join(": "));
  process.exitCode = 1;
}
