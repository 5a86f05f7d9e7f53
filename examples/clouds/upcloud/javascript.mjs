// Ask UpCloud whose token this is: node --env-file=.env javascript.mjs
const token = process.env.UPCLOUD_TOKEN ?? "";
const url = process.env.UPCLOUD_DEBUG_API_BASE_URL || "https://api.upcloud.com";

async function username() {
  if (!/^[!-~]+$/.test(token)) throw new Error("UPCLOUD_TOKEN is not set, or is no token");
  if (!url.startsWith("https://")) throw new Error("UPCLOUD_DEBUG_API_BASE_URL is not https: the token goes over TLS only");
  const answer = await fetch(`${url}/1.3/account`, {
    headers: { Authorization: `Bearer ${token}` },
    redirect: "error", // the token goes nowhere else
    signal: AbortSignal.timeout(30_000),
  });
  const body = await answer.text();
  if (answer.status !== 200) throw new Error(`UpCloud refused: ${answer.status} ${body}`);
  return JSON.parse(body).account.username;
}

try {
  console.log(await username());
} catch (error) {
  console.error([error.message, error.cause?.message].filter(Boolean).join(": "));
  process.exitCode = 1;
}
