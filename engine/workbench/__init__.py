"""What the pages of the workbench show: values made of a record, an evaluation and a ruleset. No web, no clock."""
