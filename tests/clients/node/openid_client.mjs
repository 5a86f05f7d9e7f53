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

// However slow this machine is, what was asked just now counts as asked just now.
const AT_ONCE = 30

// An altered text of the same length, alphabet and place.
const altered = (text, at = Math.floor(text.length / 2)) =>
  text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)

await itself()
await exchanged()
await signedIn()
await replayed()
await forged()
await forgedRequests()
await device()
await signedOut()
end()

async function itself() {
  let token
  await outcome('client credentials', async () => {
    const { access_token, ...rest } = await client.clientCredentialsGrant(robot)
    token = access_token
    return rest
  })
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
    return { active: await active(api, token) }
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
  let token
  await outcome('exchange', async () => {
    const { access_token, ...rest } = await given({ scope: 'storage:read' })
    token = access_token
    return rest
  })
  await outcome('exchange, introspected', async () => {
    const { active, scope } = await client.tokenIntrospection(api, token)
    return { active, scope }
  })
  await outcome('exchange, wider', () => given({ scope: 'storage:read dns:read' }))
  await outcome('exchange, of a forged key', () => given({ subject_token: altered(told.key) }))
  await outcome('exchange, of an altered token', () =>
    given({ subject_token: altered(token), subject_token_type: ACCESS_TOKEN }),
  )
  await outcome('exchange, for a stranger', () => given({ audience: 'https://elsewhere.example' }))
}

// A person at the authorization endpoint; what the client then knows to check the answer by.
async function authorized(config, { uri = told.web.redirect_uri, press = ['Allow'], by, ...more } = {}) {
  const verifier = client.randomPKCECodeVerifier()
  const state = client.randomState()
  const nonce = client.randomNonce()
  const asked = {
    redirect_uri: uri,
    scope: 'openid profile offline_access storage:read',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...more,
  }
  const left = Object.entries(asked).filter(([, value]) => value !== undefined)
  const url = client.buildAuthorizationUrl(config, Object.fromEntries(left))
  const answer = await ask('browse', { url: url.href, press, by })
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce }
  return { ...answer, url: new URL(answer.url), checks: { ...checks, idTokenExpected: true } }
}

async function granted(more = {}) {
  const { url, checks } = await authorized(web, more)
  return client.authorizationCodeGrant(web, url, checks)
}

async function signedIn() {
  let given
  await outcome('code', async () => {
    const { url, checks, pressed } = await authorized(web)
    given = await client.authorizationCodeGrant(web, url, checks)
    const { iss, aud, azp, amr } = given.claims()
    const refreshed = typeof given.refresh_token
    return { pressed, scope: scopes(given.scope), iss, own: aud === azp, amr, refreshed }
  })
  await outcome('code, when it was consented to before', async () => {
    const { url, checks, pressed } = await authorized(web, { max_age: '3600' })
    await client.authorizationCodeGrant(web, url, { ...checks, maxAge: 3600 })
    return { pressed }
  })
  await outcome('userinfo', async () => {
    const { sub } = given.claims()
    const found = await client.fetchUserInfo(web, given.access_token, sub)
    return { own: found.sub === sub, names: Object.keys(found).sort() }
  })
  await outcome('userinfo, altered token', () =>
    client.fetchUserInfo(web, altered(given.access_token), client.skipSubjectCheck),
  )
  await outcome('introspection, of a person', async () => ({
    active: await active(api, given.access_token),
  }))
  await outcome('code, of a native app on a port of its own', async () => {
    const uri = told.native.redirect_uri.replace('127.0.0.1', '127.0.0.1:51004')
    const { url, checks } = await authorized(native, { uri })
    return (await client.authorizationCodeGrant(native, url, checks)).token_type
  })
  await outcome('code, posted', async () => {
    const { url, posted, checks } = await authorized(web, {
      response_mode: 'form_post',
      press: ['Continue'],
    })
    const body = new URLSearchParams(posted)
    const request = new Request(url, { method: 'POST', body })
    return (await client.authorizationCodeGrant(web, request, checks)).token_type
  })
  await outcome('code, silently', async () => (await granted({ prompt: 'none' })).token_type)
  await outcome('code, silently with another scope', () =>
    granted({ prompt: 'none', scope: 'openid email' }),
  )
  await outcome('code, denied', () => granted({ prompt: 'consent', press: ['Deny'] }))
}

async function replayed() {
  const refresh = (text, more) => client.refreshTokenGrant(web, text, more)
  await outcome('code, again at once', async () => {
    const { url, checks } = await authorized(web)
    const given = await client.authorizationCodeGrant(web, url, checks)
    await ask('later', { seconds: -AT_ONCE })
    const again = await refused(client.authorizationCodeGrant(web, url, checks))
    return { again, stands: await active(api, given.access_token) }
  })
  await outcome('code, again later', async () => {
    const { url, checks } = await authorized(web)
    const given = await client.authorizationCodeGrant(web, url, checks)
    await ask('later', { seconds: 3600 })
    const again = await refused(client.authorizationCodeGrant(web, url, checks))
    const stands = await active(api, given.access_token)
    return { again, stands, refreshed: await refused(refresh(given.refresh_token)) }
  })
  await outcome('code, too late', async () => {
    const { url, checks } = await authorized(web)
    await ask('later', { seconds: 61 })
    return client.authorizationCodeGrant(web, url, checks)
  })
  let family
  await outcome('refresh', async () => {
    family = [(await granted()).refresh_token]
    const given = await refresh(family[0])
    family.push(given.refresh_token)
    return { another: family[0] !== family[1], scope: scopes(given.scope) }
  })
  await outcome('refresh, again at once', async () => {
    await ask('later', { seconds: -AT_ONCE })
    const given = await refresh(family[0])
    family.push(given.refresh_token)
    return { another: !family.slice(0, 2).includes(given.refresh_token) }
  })
  await outcome('refresh, of fewer scopes', async () => {
    return (await refresh(family[2], { scope: 'storage:read' })).scope
  })
  await outcome('refresh, of more scopes', () =>
    refresh(family[1], { scope: 'storage:read storage:write' }),
  )
  await outcome('refresh, by another client', () => client.refreshTokenGrant(native, family[1]))
  await outcome('refresh, altered', () => refresh(altered(family[1])))
  await outcome('refresh, again later', async () => {
    const { access_token, refresh_token } = await refresh(family[1])
    await ask('later', { seconds: 3600 })
    const again = await refused(refresh(family[0]))
    const stands = await active(api, access_token)
    return { again, stands, newest: await refused(refresh(refresh_token)) }
  })
  await outcome('revocation, of a refresh token', async () => {
    const { access_token, refresh_token } = await granted()
    await client.tokenRevocation(web, refresh_token)
    const stands = await active(api, access_token)
    return { stands, refreshed: await refused(refresh(refresh_token)) }
  })
}

// The RFC's error that something is refused with.
async function refused(attempt) {
  try {
    await attempt
  } catch (error) {
    if (error.error !== undefined) return error.error
    throw error
  }
  return 'nothing'
}

async function forged() {
  const tried = async (name, more, change = (url) => url, config = web) =>
    outcome(name, async () => {
      const { url, checks } = await authorized(web)
      return client.authorizationCodeGrant(config, change(url), { ...checks, ...more })
    })
  const set = (name, value) => (url) => {
    const changed = new URL(url)
    value === null ? changed.searchParams.delete(name) : changed.searchParams.set(name, value)
    return changed
  }
  await tried('wrong verifier', { pkceCodeVerifier: client.randomPKCECodeVerifier() })
  await tried('stripped verifier', { pkceCodeVerifier: undefined })
  await tried('wrong client', {}, undefined, native)
  await tried('wrong redirect', {}, (url) => new URL(url.href.replace('/callback', '/other')))
  await tried('altered code', {}, (url) => set('code', altered(url.searchParams.get('code')))(url))
  await tried('altered state', {}, set('state', client.randomState()))
  await tried('missing state', {}, set('state', null))
  await tried('altered iss', {}, set('iss', 'https://login.example.com'))
  await tried('missing iss', {}, set('iss', null))
  await tried('another nonce', { expectedNonce: client.randomNonce() })
  for (const part of ['nothing', 'payload', 'signature']) {
    const tampered = await configured(told.web)
    client.enableNonRepudiationChecks(tampered)
    tampered[client.customFetch] = (...args) => tamper(part, ...args)
    await outcome(`tampered ID token, ${part}`, async () => {
      const { url, checks } = await authorized(web)
      return (await client.authorizationCodeGrant(tampered, url, checks)).token_type
    })
  }
}

// The network as somebody else's: the ID token that comes through it says somebody else.
async function tamper(part, ...args) {
  const answer = await fetch(...args)
  if (!args[0].endsWith('/token')) return answer
  const body = await answer.json()
  const [head, payload, signature] = body.id_token.split('.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
  const other = Buffer.from(JSON.stringify({ ...claims, sub: 'u-somebody-else' }))
  if (part === 'payload') body.id_token = [head, other.toString('base64url'), signature].join('.')
  if (part === 'signature') body.id_token = [head, payload, altered(signature)].join('.')
  return new Response(JSON.stringify(body), { status: 200, headers: answer.headers })
}

async function forgedRequests() {
  const answered = async (name, more) =>
    outcome(name, async () => {
      const { url, status, checks } = await authorized(web, { press: [], ...more })
      if (url.origin === new URL(told.issuer).origin) return { page: status }
      return client.authorizationCodeGrant(web, url, checks)
    })
  await answered('request, without PKCE', {
    code_challenge: undefined,
    code_challenge_method: undefined,
  })
  await answered('request, PKCE without a method', { code_challenge_method: undefined })
  await answered('request, plain PKCE', { code_challenge_method: 'plain' })
  await answered('request, implicit', { response_type: 'token' })
  await answered('request, more scopes', { scope: 'openid dns:write' })
  await answered('request, a request object', { request: 'eyJhbGciOiJub25lIn0.e30.' })
  await answered('request, no such prompt', { prompt: 'create' })
  await answered('request, forged redirect', { uri: 'https://app.example.evil.example/callback' })
  await answered('request, redirect below', { uri: `${told.web.redirect_uri}/../evil` })
  await answered('request, redirect with a query', { uri: `${told.web.redirect_uri}?to=evil` })
  await answered('request, no such client', { client_id: 'client-0000000000000000' })
}

async function device() {
  const begin = (config = native) =>
    client.initiateDeviceAuthorization(config, { scope: 'openid storage:read' })
  const polled = (begun, config = native) =>
    client.genericGrantRequest(config, DEVICE, { device_code: begun.device_code })
  const answered = (begun, button) =>
    ask('browse', { url: begun.verification_uri_complete, press: ['Continue', button] })
  const begun = await begin()
  await outcome('device', async () => {
    const { verification_uri, expires_in, interval } = begun
    return { verification_uri, expires_in, interval, typed: begun.user_code.length }
  })
  await outcome('device, pending', () => polled(begun))
  await outcome('device, too soon', async () => {
    let error
    for (let times = 0; times < 10 && error !== 'slow_down'; times++) error = await refused(polled(begun))
    return error
  })
  await outcome('device, another client', () => polled(begun, web))
  await outcome('device, altered', () =>
    polled({ device_code: altered(begun.device_code) }),
  )
  await outcome('device, allowed', async () => {
    await answered(begun, 'Allow')
    const given = await client.pollDeviceAuthorizationGrant(native, { ...begun, interval: 0.01 })
    return { scope: scopes(given.scope), active: await active(api, given.access_token) }
  })
  await outcome('device, again', () => polled(begun))
  await outcome('device, denied', async () => {
    const another = await begin()
    await answered(another, 'Deny')
    return polled(another)
  })
  await outcome('device, too late', async () => {
    const another = await begin()
    await ask('later', { seconds: 601 })
    return polled(another)
  })
  await outcome('device, by a client without the grant', () => begin(robot))
}

async function signedOut() {
  const by = 'who leaves'
  const { id_token } = await granted({ by })
  const leave = async (more) => {
    const url = client.buildEndSessionUrl(web, {
      post_logout_redirect_uri: told.afterwards,
      id_token_hint: id_token,
      state: 'so long',
      ...more,
    })
    const { url: ended, status } = await ask('browse', { url: url.href, by })
    return status === 0 ? { url: ended } : { page: status }
  }
  await outcome('sign-out, to an address of its own', () =>
    leave({ post_logout_redirect_uri: 'https://evil.example/' }),
  )
  await outcome('sign-out, tampered ID token', () => leave({ id_token_hint: altered(id_token) }))
  await outcome('sign-out, not yet', async () => (await granted({ by, prompt: 'none' })).token_type)
  await outcome('sign-out', () => leave())
  await outcome('sign-out, done', () => granted({ by, prompt: 'none' }))
}
