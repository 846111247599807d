import getDefaultRegistry from "@rjsf/core/lib/getDefaultRegistry.js";
import { type BaseInputTemplateProps, errorId, type FieldErrorProps, type IconButtonProps, type MultiSchemaFieldTemplateProps, type TemplatesType } from "@rjsf/utils";
import { ArrowDown, ArrowUp, Copy, type LucideIcon, Plus, X } from "lucide-react";

const { templates: DEFAULTS } = getDefaultRegistry();

function iconButton(Icon: LucideIcon, name: string, isNamed = false) {
  return function FormButton({ id, onClick, disabled, className }: IconButtonProps) {
    return (
      <button type="button" id={id} onClick={onClick} disabled={disabled} className={className} aria-label={name} title={name}>
        <Icon size={14} aria-hidden="true" />{isNamed && ` ${name}`}
      </button>
    );
  };
}

function BaseInput(props: BaseInputTemplateProps) {
  return <DEFAULTS.BaseInputTemplate {...props} aria-invalid={(props.rawErrors?.length ?? 0) > 0} />;
}

function FieldError({ errors = [], fieldPathId }: FieldErrorProps) {
  if (errors.length === 0) return null;
  return <ul id={errorId(fieldPathId)} className="field-errors problem">{errors.map((error, index) => <li key={index}>{error}</li>)}</ul>;
}

function Alternatives({ selector, optionSchemaField }: MultiSchemaFieldTemplateProps) {
  return (
    <div className="alternatives">
      <label>Kind {selector}</label>
      {optionSchemaField}
    </div>
  );
}

export const TEMPLATES: Partial<Omit<TemplatesType, "ButtonTemplates">> & { ButtonTemplates: Partial<TemplatesType["ButtonTemplates"]> } = {
  BaseInputTemplate: BaseInput,
  FieldErrorTemplate: FieldError,
  MultiSchemaFieldTemplate: Alternatives,
  ButtonTemplates: {
    AddButton: iconButton(Plus, "Add", true),
    CopyButton: iconButton(Copy, "Copy item"),
    MoveDownButton: iconButton(ArrowDown, "Move down"),
    MoveUpButton: iconButton(ArrowUp, "Move up"),
    RemoveButton: iconButton(X, "Remove"),
    ClearButton: iconButton(X, "Clear"),
  },
};
