"""What Globus Compute's own login code does at this cloud; prints one JSON document a line."""

import json
import os
import sys

import globus_sdk
from globus_sdk.scopes import AuthScopes, ComputeScopes

COMPUTE = ComputeScopes.resource_server
AUTH = AuthScopes.resource_server
DAEMON_SCOPES = [AuthScopes.openid, AuthScopes.manage_projects, ComputeScopes.all]


def say(**what):
    print(json.dumps(what, default=str), flush=True)


def refused(call):
    try:
        call()
    except globus_sdk.AuthAPIError as error:
        return {"status": error.http_status, "error": error.raw_json.get("error")}
    return None


def access(token):
    return globus_sdk.AuthClient(authorizer=globus_sdk.AccessTokenAuthorizer(token))


def service():
    """A service: client credentials."""
    identity, secret = os.environ["GLOBUS_COMPUTE_CLIENT_ID"], os.environ["GLOBUS_COMPUTE_CLIENT_SECRET"]
    client = globus_sdk.ConfidentialAppAuthClient(identity, secret)
    compute = client.oauth2_client_credentials_tokens(requested_scopes=[ComputeScopes.all, ComputeScopes.all])
    auth = client.oauth2_client_credentials_tokens(requested_scopes=DAEMON_SCOPES[:2])
    token = compute.by_resource_server[COMPUTE]["access_token"]
    me = access(auth.by_resource_server[AUTH]["access_token"])
    say(
        identity=identity,
        services=[list(compute.by_resource_server), list(auth.by_resource_server)],
        token=token,
        introspection=client.oauth2_token_introspect(token, include="identity_set").data,
        userinfo=me.userinfo().data,
        identities=me.get_identities(ids=identity).data,
    )
    client.oauth2_revoke_token(token)
    impostor = globus_sdk.ConfidentialAppAuthClient(identity, "not the secret")
    say(
        introspection=client.oauth2_token_introspect(token).data,
        rubbish=client.oauth2_token_introspect("rubbish").data,
        impostor=refused(lambda: impostor.oauth2_client_credentials_tokens(requested_scopes=ComputeScopes.all)),
        nonsense=refused(lambda: client.oauth2_client_credentials_tokens(requested_scopes="nonsense")),
    )


def native():
    """A program of somebody's own with the native flow: prints where to go, reads the code that is shown there."""
    client = globus_sdk.NativeAppAuthClient(sys.argv[2])
    client.oauth2_start_flow(requested_scopes=DAEMON_SCOPES, refresh_tokens=True, prefill_named_grant="a laptop")
    say(url=client.oauth2_get_authorize_url(prompt="login", session_message="Please log in again."))
    code = sys.stdin.readline().strip()
    tokens = client.oauth2_exchange_code_for_tokens(code)
    claims = tokens.decode_id_token()
    auth = tokens.by_resource_server[AUTH]
    userinfo = access(auth["access_token"]).userinfo().data
    first = tokens.by_resource_server[COMPUTE]
    # Several programs share one file of tokens: each may use the same refresh token.
    renewed = [client.oauth2_refresh_token(first["refresh_token"]) for _ in range(2)]
    say(
        username=claims["preferred_username"],
        same=claims["sub"] == userinfo["sub"] == userinfo["identity_set"][0]["sub"],
        scopes={name: token["scope"].split(" ") for name, token in tokens.by_resource_server.items()},
        renewed=[list(one.by_resource_server) for one in renewed],
        kept=[one.by_resource_server[COMPUTE]["refresh_token"] == first["refresh_token"] for one in renewed],
        token=renewed[-1].by_resource_server[COMPUTE]["access_token"],
        again=refused(lambda: client.oauth2_exchange_code_for_tokens(code)),
    )


def app():
    """What `Client()` and the daemon do with the tokens they have kept, and what comes of renewing them."""
    from globus_compute_sdk.sdk.auth.globus_app import get_globus_app

    app = get_globus_app()
    app.add_scope_requirements({COMPUTE: [ComputeScopes.all], AUTH: DAEMON_SCOPES[:2]})
    authorizers = {name: app.get_authorizer(name) for name in (COMPUTE, AUTH)}
    before = {name: one.get_authorization_header().split(" ")[1] for name, one in authorizers.items()}
    renewed = {name: one.handle_missing_authorization() for name, one in authorizers.items()}
    after = {name: one.get_authorization_header().split(" ")[1] for name, one in authorizers.items()}
    say(required=app.login_required(), before=before, renewed=renewed, after=after, me=access(after[AUTH]).userinfo().data)


def client():
    """The SDK's own client, which looks for the cloud at its one address."""
    from globus_compute_sdk import Client

    compute = Client()
    say(version=compute.version_check(), endpoints=compute.get_endpoints())


def submit():
    """Submits one task; what the SDK does about a refusal is its own."""
    from globus_compute_sdk import Client

    compute = Client()
    function = compute.register_function(len)
    say(task=compute.run("abc", endpoint_id=sys.argv[2], function_id=function))


{"submit": submit, "service": service, "native": native, "app": app, "client": client}[sys.argv[1]]()
