// List KakaoCloud's projects: node --env-file=.env javascript.mjs
const id = process.env.OS_APPLICATION_CREDENTIAL_ID;
const secret = process.env.OS_APPLICATION_CREDENTIAL_SECRET;
const url = process.env.OS_AUTH_URL || "https://iam.kakaocloud.com/identity/v3";
const fresh = 11 * 3600 * 1000; // milliseconds: a token lasts for 12 hours, and may end before

const send = (path, options) =>
  fetch(url + path, { ...options, redirect: "error", signal: AbortSignal.timeout(30_000) });

async function expect(status, answer) {
  const body = await answer.text();
  if (answer.status !== status) throw new Error(`KakaoCloud refused: ${answer.status} ${body}`);
  return JSON.parse(body);
}

async function exchange() {
  const identity = { methods: ["application_credential"], application_credential: { id, secret } };
  const answer = await send("/auth/tokens", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ auth: { identity } }),
  });
  const { token } = await expect(201, answer);
  return { value: answer.headers.get("X-Subject-Token"), user: token.user.id };
}

let held; // one exchange for all who ask meanwhile

function current(refused) {
  if (!held || held === refused || performance.now() - held.since > fresh) {
    const next = { since: performance.now(), token: exchange() };
    next.token.catch(() => held === next && (held = undefined)); // the next call tries again
    held = next;
  }
  return held;
}

async function get(path) {
  for (let refused; ; ) {
    const used = current(refused);
    const { value, user } = await used.token;
    const answer = await send(path(user), { headers: { "X-Auth-Token": value } });
    if (answer.status !== 401 || refused) return expect(200, answer);
    refused = used; // once more with another
  }
}

try {
  if (!id || !secret)
    throw new Error("OS_APPLICATION_CREDENTIAL_ID and OS_APPLICATION_CREDENTIAL_SECRET are not set");
  if (!url.startsWith("https://")) throw new Error("OS_AUTH_URL is not https: the secret goes over TLS only");
  const { projects } = await get((user) => `/users/${user}/projects`);
  for (const { id, name } of projects) console.log(id, name);
} catch (error) {
  console.error([error.message, error.cause?.message].filter(Boolean).join(": "));
  process.exitCode = 1;
}
