import UsualNumber from "@rjsf/core/lib/components/fields/NumberField.js";
import UsualText from "@rjsf/core/lib/components/fields/StringField.js";
import type { FieldProps, RegistryFieldsType } from "@rjsf/utils";
import { createContext, use } from "react";

import { parseJson } from "../ui/exact";

const LONG = /^-?[1-9]\d{15,}$/;

const ChangeContext = createContext<FieldProps["onChange"] | undefined>(undefined);

/** A number; the form library makes one of what the text field in it takes, and would round a long one. */
function NumberField(props: FieldProps) {
  return <ChangeContext value={props.onChange}><UsualNumber {...props} /></ChangeContext>;
}

function TextField(props: FieldProps) {
  const changeNumber = use(ChangeContext);
  const { onChange } = props;
  const change: FieldProps["onChange"] = (value, ...place) =>
    changeNumber !== undefined && typeof value === "string" && LONG.test(value) ? changeNumber(parseJson(value), ...place) : onChange(value, ...place);
  return <UsualText {...props} onChange={change} />;
}

export const EXACT_FIELDS: RegistryFieldsType<unknown> = { NumberField, StringField: TextField };
