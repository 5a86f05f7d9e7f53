"""One file an HTTP library: how a request of its own gets a cloud's credential.

Rule of this folder: the credential is added to one request on its way out, below what follows
redirects, keeps histories or writes logs, and never to what the caller holds. Each names the same:
what sends (`Session`, `Transport`, …), `check` for answers, `run` for a cloud's own flows.
"""
