SELECT trust_rules.project_id, trust_rules.kind, trust_rules.answer 
FROM trust_rules 
WHERE trust_rules.project_id IN (__[POSTCOMPILE_project_ids]) AND (trust_rules.kind = %(kind_1)s::VARCHAR AND trust_rules.subject_id = %(owner)s::VARCHAR OR trust_rules.kind = %(kind_2)s::VARCHAR AND trust_rules.subject_id = %(domain_id)s::VARCHAR) ORDER BY trust_rules.project_id, trust_rules.kind, trust_rules.subject_id FOR SHARE
