// An OpenID Connect provider for tests: whoever `POST /as` names signs in there, without a page in between.
// Arguments: its port, the hub's redirect URI. It prints `ready` once it listens.
import { createServer } from 'node:http'
import Provider from 'oidc-provider'

const [port, redirectUri] = process.argv.slice(-2)
const issuer = `http://127.0.0.1:${port}`
const accounts = new Map()
let current = null
let wish = {}

const provider = new Provider(issuer, {
  clients: [{ client_id: 'roost', client_secret: 'a-secret-of-the-client', redirect_uris: [redirectUri] }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  // As most providers do; without this the claims come from the userinfo endpoint alone, as with `conform`.
  conformIdTokenClaims: process.env.CONFORM === '1',
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ['only for tests'] },
  findAccount: (_ctx, id) => accounts.has(id) && { accountId: id, claims: () => accounts.get(id) },
  async loadExistingGrant(ctx) {
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    })
    grant.addOIDCScope('openid email profile')
    await grant.save()
    return grant
  },
})

async function as(request, response) {
  let body = ''
  for await (const piece of request) body += piece
  const account = JSON.parse(body)
  wish = account.wish ?? {}
  current = account.sub
  accounts.set(current, account)
  response.writeHead(204).end()
}

const handle = provider.callback()
createServer(async (request, response) => {
  if (request.url === '/as') return as(request, response)
  if (request.url.startsWith('/interaction/')) {
    const result = wish.deny
      ? { error: 'access_denied', error_description: 'Said no.' }
      : { login: { accountId: current, remember: false } }
    return provider.interactionFinished(request, response, result)
  }
  return handle(request, response)
}).listen(Number(port), '127.0.0.1', () => console.log('ready'))
