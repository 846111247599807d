"""``/secrets``: what steps may read by name. A value goes in and never comes out again."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get, put
from litestar.params import Parameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from stepwire.api.openapi import made, problems
from stepwire.api.schemas.secrets import SecretInput, SecretList, SecretResponse, secret_response
from stepwire.services.secrets import SecretService

SecretName = Annotated[
    str, Parameter(description="Up to 64 letters, digits and underscores, not beginning with a digit")
]


class SecretController(Controller):
    path = "/secrets"
    tags = ["Secrets"]  # noqa: RUF012 - Litestar's attribute

    @get(operation_id="listSecrets", responses=problems())
    async def list_secrets(self, secrets: SecretService, owner: UUID) -> SecretList:
        """List the names of all secrets."""
        return SecretList([secret_response(each) for each in await secrets.all(owner)])

    @get("/{name:str}", operation_id="getSecret", responses=problems(404))
    async def get_secret(self, name: SecretName, secrets: SecretService, owner: UUID) -> SecretResponse:
        """Get when a secret was set; its value is shown to nobody."""
        return secret_response(await secrets.get(owner, name))

    @put(
        "/{name:str}",
        operation_id="putSecret",
        status_code=HTTP_200_OK,
        responses=made(SecretResponse) | problems(409, 413, 415, 422),
    )
    async def put_secret(
        self, name: SecretName, data: SecretInput, secrets: SecretService, owner: UUID
    ) -> Response[SecretResponse]:
        """Set a secret, or change its value: attempts that begin from now on get it. 201 where there was none."""
        secret = await secrets.set(owner, name, data.value)
        status = HTTP_201_CREATED if secret.is_new else HTTP_200_OK
        headers = {"Location": f"/api/v1/secrets/{secret.name}"} if secret.is_new else {}
        return Response(secret_response(secret), status_code=status, headers=headers)

    @delete("/{name:str}", operation_id="deleteSecret", responses=problems(404))
    async def delete_secret(self, name: SecretName, secrets: SecretService, owner: UUID) -> None:
        """Delete a secret; attempts that begin from now on and name it fail with `secret-missing`."""
        await secrets.delete(owner, name)
