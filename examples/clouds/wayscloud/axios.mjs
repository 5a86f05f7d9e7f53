// List WAYSCloud's buckets with axios: node --env-file=.env axios.mjs
import axios from "axios";

const key = process.env.WAYSCLOUD_API_KEY ?? "";
const url = process.env.WAYSCLOUD_API_URL || "https://api.wayscloud.services";

async function buckets() {
  if (!/^[!-~]+$/.test(key)) throw new Error("WAYSCLOUD_API_KEY is not set, or is no key");
  if (!url.startsWith("https://")) throw new Error("WAYSCLOUD_API_URL is not https: the key goes over TLS only");
  const answer = await axios.get(`${url}/v1/storage/`, {
    headers: { Authorization: `Bearer ${key}` },
    maxRedirects: 0, // the key goes nowhere else
    responseType: "text",
    timeout: 30_000,
    validateStatus: () => true,
  });
  if (answer.status !== 200) throw new Error(`WAYSCloud refused: ${answer.status} ${answer.data}`);
  return answer.data;
}

try {
  console.log(await buckets());
} catch (error) {
  console.error(error.message); // never the whole error: axios keeps the key in error.config
  process.exitCode = 1;
}
