"""What may be known: entities, fields, labels, merge rules, sensitivity, scopes and normal forms. Pure."""
