"""What the controllers' DTOs share. The documents show the Structs themselves, by their own names."""

from typing import Any, ClassVar, TypeVar

import msgspec
from litestar import Response
from litestar.dto import DTOData, MsgspecDTO
from litestar.exceptions import ClientException, SerializationException
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

T = TypeVar("T", bound=msgspec.Struct)


class StructDTO(MsgspecDTO[T]):
    """A DTO over a Struct, also where a handler answers with a ``Response`` of a list of them.

    ``documented`` is the Struct that the documents show, where it is not the model itself.
    """

    documented: ClassVar[Any] = None

    @classmethod
    def create_for_field_definition(cls, field_definition: FieldDefinition, *args: Any, **kwargs: Any) -> None:
        if field_definition.is_subclass_of(Response):
            field_definition = field_definition.inner_types[0]
        super().create_for_field_definition(field_definition, *args, **kwargs)

    @classmethod
    def create_openapi_schema(cls, field_definition: FieldDefinition, *args: Any, **kwargs: Any) -> Reference | Schema:
        schema_creator = kwargs.get("schema_creator") or args[-1]
        if cls.documented is not None:
            field_definition = FieldDefinition.from_annotation(cls.documented)
        elif field_definition.is_subclass_of(Response):
            field_definition = field_definition.inner_types[0]
        schema: Reference | Schema = schema_creator.for_field_definition(field_definition)
        return schema


class ListDTO(StructDTO[T]):
    """Leaves out the fields that its ``config`` excludes, unless ``?include=`` names one of them."""

    def data_to_encodable_type(self, data: Any) -> Any:
        if self.asgi_connection.query_params.get("include") in self.config.exclude:
            return data
        return super().data_to_encodable_type(data)


def changes(data: DTOData[Any], kind: type[T]) -> T:
    """What a partial body says, as ``kind``, whose constraints a partial DTO does not check.

    Raises:
        ClientException: it does not fit.
    """
    try:
        return msgspec.convert(data.as_builtins(), kind)
    except msgspec.ValidationError as error:
        raise ClientException(str(error)) from SerializationException(str(error))
