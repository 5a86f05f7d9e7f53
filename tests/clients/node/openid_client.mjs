// Every grant through openid-client as it comes: HTTPS only, all its checks on. What it does by
// itself (state, iss, nonce) is left to it; what it would never send is sent by hand, by a form.

import * as client from 'openid-client'
import { ask, end, outcome, told } from './dialogue.mjs'

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code'
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

const configured = (who, prove = client.ClientSecretBasic, options = undefined) =>
  client.discovery(
    new URL(told.issuer),
    who.id,
    undefined,
    who.secret === null ? client.None() : prove(who.secret),
    options,
  )

const web = await configured(told.web)
const api = await configured(told.api)
const robot = await configured(told.robot)
const native = await configured(told.native)
const scopes = (text) => text.split(' ').sort().join(' ')
const active = async (asked, token) => (await client.tokenIntrospection(asked, token)).active

// An altered text of the same length, alphabet and place.
const altered = (text, at = Math.floor(text.length / 2)) =>
  text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)

await itself()
await exchanged()
// SIGNED
end()

async function itself() {
  const both = await outcome('client credentials', async () => {
    const given = await client.clientCredentialsGrant(robot)
    return { ...given, access_token: undefined, token: given.access_token }
  })
  const token = both.token
  await outcome('client credentials, secret in the body', async () => {
    const posting = await configured(told.robot, client.ClientSecretPost)
    return scopes((await client.clientCredentialsGrant(posting)).scope)
  })
  await outcome('client credentials, one scope', async () => {
    return (await client.clientCredentialsGrant(robot, { scope: 'storage:read' })).scope
  })
  await outcome('client credentials, more than was granted', () =>
    client.clientCredentialsGrant(robot, { scope: 'storage:read openid dns:write' }),
  )
  await outcome('client credentials, wrong secret', async () => {
    const wrong = await configured({ ...told.robot, secret: altered(told.robot.secret) })
    return client.clientCredentialsGrant(wrong)
  })
  await outcome('client credentials, by a client without the grant', () =>
    client.clientCredentialsGrant(web),
  )
  await outcome('introspection, by an API', async () => {
    const { active, scope, client_id, token_type, iss } = await client.tokenIntrospection(api, token)
    return { active, scope: scopes(scope), own: client_id === told.robot.id, token_type, iss }
  })
  await outcome('introspection, by a stranger', () => client.tokenIntrospection(web, token))
  await outcome('introspection, by a public client', () => client.tokenIntrospection(native, token))
  await outcome('introspection, altered', () => client.tokenIntrospection(api, altered(token)))
  await outcome('revocation, by a stranger', () => client.tokenRevocation(web, token))
  await outcome('revocation, of nothing', () => client.tokenRevocation(robot, 'nothing'))
  await outcome('revocation', async () => {
    await client.tokenRevocation(robot, token)
    return active(api, token)
  })
  await outcome('password grant', () =>
    client.genericGrantRequest(web, 'password', { username: 'a', password: 'b' }),
  )
}

async function exchanged() {
  const given = (more) =>
    client.genericGrantRequest(web, EXCHANGE, {
      subject_token: told.key,
      subject_token_type: 'urn:latchgate:token-type:service_key',
      ...more,
    })
  const got = await outcome('exchange', async () => {
    const { access_token, ...rest } = await given({ scope: 'storage:read' })
    return { ...rest, token: access_token }
  })
  await outcome('exchange, introspected', async () => {
    const { active, scope } = await client.tokenIntrospection(api, got.token)
    return { active, scope }
  })
  await outcome('exchange, wider', () => given({ scope: 'storage:read dns:read' }))
  await outcome('exchange, of a forged key', () => given({ subject_token: altered(told.key) }))
  await outcome('exchange, of an altered token', () =>
    given({ subject_token: altered(got.token), subject_token_type: ACCESS_TOKEN }),
  )
  await outcome('exchange, for a stranger', () => given({ audience: 'https://elsewhere.example' }))
}
