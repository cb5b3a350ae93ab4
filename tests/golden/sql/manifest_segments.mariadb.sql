SELECT manifests.start, manifests.encoded 
FROM manifests 
WHERE manifests.content_id = %(content_id)s AND manifests.start < %(stop)s AND manifests.start >= (SELECT coalesce(max(manifests.start), %(coalesce_2)s) AS coalesce_1 
FROM manifests 
WHERE manifests.content_id = %(content_id)s AND manifests.start <= %(start)s) ORDER BY manifests.start 
 LIMIT %(rows)s
