SELECT manifests.start, manifests.encoded 
FROM manifests 
WHERE manifests.content_id = %(content_id)s::VARCHAR AND manifests.start < %(stop)s::BIGINT AND manifests.start >= (SELECT coalesce(max(manifests.start), %(coalesce_2)s::INTEGER) AS coalesce_1 
FROM manifests 
WHERE manifests.content_id = %(content_id)s::VARCHAR AND manifests.start <= %(start)s::BIGINT) ORDER BY manifests.start 
 LIMIT %(rows)s
