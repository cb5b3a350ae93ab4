SELECT trust_rules.project_id, trust_rules.kind, trust_rules.answer 
FROM trust_rules 
WHERE trust_rules.project_id IN (__[POSTCOMPILE_project_ids]) AND (trust_rules.kind = ? AND trust_rules.subject_id = ? OR trust_rules.kind = ? AND trust_rules.subject_id = ?) ORDER BY trust_rules.project_id, trust_rules.kind, trust_rules.subject_id
