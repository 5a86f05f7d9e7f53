// npm's oidc-provider as its documentation starts it: records in memory, one client that gets tokens
// by itself and looks at them. `node oidc_provider.mjs PORT SECRET`

import Provider from 'oidc-provider'

const [port, secret] = process.argv.slice(2)
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: 'api',
      client_secret: secret,
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      token_endpoint_auth_method: 'client_secret_basic',
    },
  ],
  scopes: ['storage:read'],
  ttl: { ClientCredentials: 3600 },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
  },
})
provider.listen(Number(port), '127.0.0.1')
