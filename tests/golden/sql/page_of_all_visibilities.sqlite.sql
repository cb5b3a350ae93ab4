SELECT images.id, images.owner, images.name, images.status, images.visibility, images.protected, images.os_hidden, images.min_disk, images.min_ram, images.disk_format, images.container_format, images.size, images.virtual_size, images.checksum, images.os_hash_algo, images.os_hash_value, images.created_at, images.updated_at, images.content_id, images.stores, images.location_references, images.external_url, images.former_owner, images.former_visibility, images.former_status, images.tags, images.properties, sized.promised, sized.found 
FROM images JOIN (SELECT chosen.image_id AS image_id, chosen.promised AS promised, chosen.key_0 AS key_0, chosen.key_1 AS key_1, images.details_bytes + length(images.location_references) AS own_bytes, sum(images.details_bytes + length(images.location_references)) OVER (ORDER BY chosen.key_0 DESC, chosen.key_1 DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS total_bytes, count(*) OVER () AS found 
FROM (SELECT candidates.image_id AS image_id, candidates.promised AS promised, candidates.key_0 AS key_0, candidates.key_1 AS key_1 
FROM (SELECT images.id AS image_id, 0 AS promised, images.created_at AS key_0, images.id AS key_1 
FROM images 
WHERE images.owner = ? AND images.os_hidden = 0 UNION ALL SELECT images.id AS image_id, 0 AS promised, members.image_created_at AS key_0, members.image_id AS key_1 
FROM images JOIN members ON members.image_id = images.id 
WHERE images.visibility = 'shared' AND images.owner IS NOT ? AND members.member_id = ? AND members.expires_at > ? AND members.hidden = 0 AND NOT (EXISTS (SELECT endings.image_id 
FROM endings 
WHERE endings.image_id = members.image_id AND endings.member_id = members.member_id AND endings.ends_at > ?
 LIMIT ? OFFSET 0)) AND members.status = ? AND images.os_hidden = 0 UNION ALL SELECT images.id AS image_id, 0 AS promised, images.created_at AS key_0, images.id AS key_1 
FROM images 
WHERE images.visibility = 'public' AND images.owner IS NOT ? AND NOT (EXISTS (SELECT endings.image_id 
FROM endings 
WHERE endings.image_id = images.id AND endings.member_id = ? AND endings.ends_at > ?
 LIMIT ? OFFSET 0)) AND images.os_hidden = 0 UNION ALL SELECT images.id AS image_id, 0 AS promised, images.created_at AS key_0, images.id AS key_1 
FROM images 
WHERE images.visibility = 'community' AND images.owner IS NOT ? AND NOT (EXISTS (SELECT endings.image_id 
FROM endings 
WHERE endings.image_id = images.id AND endings.member_id = ? AND endings.ends_at > ?
 LIMIT ? OFFSET 0)) AND images.os_hidden = 0 UNION ALL SELECT images.id AS image_id, 1 AS promised, endings.image_created_at AS key_0, endings.image_id AS key_1 
FROM images JOIN endings ON endings.image_id = images.id 
WHERE endings.member_id = ? AND endings.ends_at > ? AND images.owner IS NOT ? AND ((+images.visibility = 'shared' OR +images.visibility = 'private') AND endings.status = ? OR +images.visibility = 'public' OR +images.visibility = 'community') AND images.os_hidden = 0) AS candidates ORDER BY candidates.key_0 DESC, candidates.key_1 DESC
 LIMIT ? OFFSET ?) AS chosen JOIN images ON images.id = chosen.image_id) AS sized ON sized.image_id = images.id 
WHERE sized.total_bytes <= ? OR sized.total_bytes = sized.own_bytes ORDER BY sized.key_0 DESC, sized.key_1 DESC
