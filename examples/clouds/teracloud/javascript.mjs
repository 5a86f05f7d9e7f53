// Ask TeraCLOUD for the user's node, then for the files there: node --env-file=.env javascript.mjs
const { TERACLOUD_USER: user, TERACLOUD_PASSWORD: password, TERACLOUD_API_KEY: key } = process.env;
const url = process.env.TERACLOUD_URL || "https://api.teracloud.jp";

function ask(method, url, headers) {
  const basic = Buffer.from(`${user}:${password}`, "utf-8").toString("base64");
  return fetch(url, {
    method,
    headers: { Authorization: `Basic ${basic}`, ...headers },
    redirect: "error", // the password goes nowhere else
    signal: AbortSignal.timeout(30_000),
  });
}

async function expect(status, answer) {
  const body = await answer.text();
  if (answer.status === 202) throw new Error("The account is new, and its node is not ready yet: try again later");
  if (answer.status !== status) throw new Error(`TeraCLOUD refused: ${answer.status} ${body}`);
  return body;
}

// The password goes to the API's own host, and below the cloud's domains.
function own(node) {
  const [, host = ""] = /^([a-z0-9.-]+)(?::[0-9]+)?$/.exec(node) ?? [];
  return host === new URL(url).hostname || /\.(teracloud\.jp|infini-cloud\.net)$/.test(host);
}

try {
  if (!user || !password) throw new Error("TERACLOUD_USER and TERACLOUD_PASSWORD are not set");
  if (!/^[0-9A-F]{32}$/.test(key ?? ""))
    throw new Error("TERACLOUD_API_KEY is not set, or is not 32 digits of 0-9 and A-F");
  if (!url.startsWith("https://")) throw new Error("TERACLOUD_URL is not https: the password goes over TLS only");
  // The REST API takes both credentials …
  const asked = await ask("GET", `${url}/v2/api/ba/user`, { "X-TeraCLOUD-API-KEY": key });
  const account = JSON.parse(await expect(200, asked));
  if (!own(account.node)) throw new Error(`${account.node} is none of TeraCLOUD's hosts: the password does not go there`);
  // … and WebDAV the user's alone.
  await expect(207, await ask("PROPFIND", `https://${account.node}/dav/`, { Depth: "0" }));
  console.log(`${account.user} on ${account.node}, ${account.capacity} GB`);
} catch (error) {
  console.error([error.message, error.cause?.message].filter(Boolean).join(": "));
  process.exitCode = 1;
}
