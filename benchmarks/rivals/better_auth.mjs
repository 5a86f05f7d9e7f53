// better-auth's API keys behind a server of Node's own: 200 for a key that stands, 401 for others.
//
//     node better_auth.mjs FILE make KEYS    makes its tables, a user and keys, and prints these
//     node better_auth.mjs FILE PORT         serves; the key comes in X-Api-Key
//
// SQLite by npm's libsql, whose binaries come in packages; better-sqlite3 would have to be built. As
// a production site has it: write-ahead log. Limits of rate are off: they are no part of the question.

import { createServer } from 'node:http'
import { apiKey } from '@better-auth/api-key'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { SqliteDialect } from 'kysely'
import Database from 'libsql'

const [file, what, number] = process.argv.slice(2)
const database = new Database(file)
database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
const auth = betterAuth({
  baseURL: 'http://127.0.0.1',
  secret: process.env.SECRET,
  database: { dialect: new SqliteDialect({ database }), type: 'sqlite' },
  emailAndPassword: { enabled: true },
  logger: { disabled: true },
  telemetry: { enabled: false },
  plugins: [apiKey({ rateLimit: { enabled: false } })],
})

async function make(count) {
  await (await getMigrations(auth.options)).runMigrations()
  const body = { email: 'api@example.com', name: 'api', password: process.env.SECRET }
  const { user } = await auth.api.signUpEmail({ body })
  const keys = []
  for (let i = 0; i < count; i++) {
    keys.push((await auth.api.createApiKey({ body: { name: `key ${i}`, userId: user.id } })).key)
  }
  process.stdout.write(JSON.stringify(keys))
}

async function answer(request, response) {
  const key = request.headers['x-api-key'] ?? ''
  const { valid } = await auth.api.verifyApiKey({ body: { key } })
  response.writeHead(valid ? 200 : 401).end()
}

if (what === 'make') {
  await make(Number(number))
} else {
  createServer(answer).listen(Number(what), '127.0.0.1')
}
